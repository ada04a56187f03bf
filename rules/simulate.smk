# Nothing in, simulated observations and their truth out; one job a shard of a split.


rule simulate:
    input:
        instruments=instrument_files,
        script="scripts/simulate.py",
        library=library("scripts/simulate.py"),
    output:
        observations="<results>/{case}/simulated/{split}_{shard}.h5",
        truth="<results>/{case}/simulated/{split}_{shard}.truth.ecsv",
    log:
        "<logs>/{case}/simulate_{split}_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/simulate_{split}_{shard}.tsv"
    conda:
        "../envs/simulate.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10, 0.1, of=shard_observations),
    params:
        settings=split_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --split {wildcards.split} --shard {wildcards.shard}"
        " --output {output.observations} --truth {output.truth} > {log:q} 2>&1"
