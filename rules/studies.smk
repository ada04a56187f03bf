# Targets outside `all`: the search for an optimiser, and what each augmentation brings.


rule tune:
    input:
        dataset=tuned_dataset,
        script="scripts/tune.py",
        library=library("scripts/tune.py"),
    output:
        table="<results>/{case}/tune.csv",
    log:
        "<logs>/{case}/tune.log",
    benchmark:
        "<logs>/benchmarks/{case}/tune.tsv"
    conda:
        "../envs/tune.yaml"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        settings=settings("tune"),
        model=tuned_model_settings,
        seed=SEED,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --model-settings {params.model:q} --dataset {input.dataset} --table {output.table} > {log:q} 2>&1"
