# The embedded archive of a case that searches observations: nothing in, FITS files and their ObsCore rows out.


rule simulate_cube_archive:
    input:
        instruments=instrument_files,
        script="scripts/simulate_cube_archive.py",
        library=library("scripts/simulate_cube_archive.py"),
    output:
        products="<results>/{case}/embedded/simulated/shard_{shard}.tar",
        obscore="<results>/{case}/embedded/simulated/shard_{shard}.obscore.ecsv",
        truth="<results>/{case}/embedded/simulated/shard_{shard}.truth.ecsv",
    log:
        "<logs>/{case}/simulate_cube_archive_{shard}.log",
    benchmark:
        "<logs>/benchmarks/{case}/simulate_cube_archive_{shard}.tsv"
    wildcard_constraints:
        case=one_of(SEARCHED),
    conda:
        "../envs/simulate_cube_archive.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10, 0.1, of=shard_fields),
    params:
        settings=archived_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --all-settings {params.settings:q} --seed {params.seed}"
        " --shard {wildcards.shard}"
        " --products {output.products} --obscore {output.obscore} --truth {output.truth} > {log:q} 2>&1"
