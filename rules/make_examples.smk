# The truth, and what the networks so far make of simulations, in; the examples that train the next networks out.


rule make_examples:
    input:
        models=needed_models,
        observations=example_shards("h5"),
        truths=example_shards("truth.ecsv"),
        instruments=instrument_files,
        script="scripts/make_examples.py",
        library=library("scripts/make_examples.py"),
    output:
        dataset="<results>/{case}/examples/{dataset}.h5",
    log:
        "<logs>/{case}/make_examples_{dataset}.log",
    benchmark:
        "<logs>/benchmarks/{case}/make_examples_{dataset}.tsv"
    conda:
        "../envs/make_examples.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        settings=example_settings,
        models=needed_roles,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --all-settings {params.settings:q} --seed {params.seed}"
        " --dataset {wildcards.dataset} --models {params.models}"
        " --observations {input.observations} --truths {input.truths} --output {output.dataset} > {log:q} 2>&1"
