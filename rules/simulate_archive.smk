# The embedded archive: nothing in, simulated ALMA products and their ObsCore rows out; one job a shard.


rule simulate_archive:
    input:
        arrays=expand("resources/arrays/alma_cycle9_{number}.ecsv", number=range(1, 11)),
        script="scripts/simulate_archive.py",
        library=library("scripts/simulate_archive.py"),
    output:
        products="<results>/{case}/embedded/simulated/shard_{shard}.tar",
        obscore="<results>/{case}/embedded/simulated/shard_{shard}.obscore.ecsv",
        truth="<results>/{case}/embedded/simulated/shard_{shard}.truth.ecsv",
    log:
        "<logs>/{case}/simulate_archive_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/simulate_archive_{shard}.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/simulate_archive.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10, 0.01, of=shard_fields),
    params:
        settings=settings("embedded"),
        seed=SEED,
        shards=shard_count,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --shard {wildcards.shard} --shards {params.shards}"
        " --products {output.products} --obscore {output.obscore} --truth {output.truth} > {log:q} 2>&1"
