# A calibrated network and the test split in; metrics with intervals out, and all networks side by side.


rule evaluate:
    input:
        models=members,
        dataset=model_dataset,
        calibration="<results>/{case}/models/{model}.calibration.json",
        script="scripts/evaluate.py",
        library=library("scripts/evaluate.py"),
    output:
        metrics="<results>/{case}/metrics/{model}.json",
        predictions="<results>/{case}/metrics/{model}.predictions.csv",
    log:
        "<logs>/{case}/evaluate_{model}.log",
    benchmark:
        "<logs>/benchmarks/{case}/evaluate_{model}.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/evaluate.yaml"
    threads: calibrate_threads
    resources:
        mem_mb=memory(1800, 0.2),
        runtime=minutes(10, 0.005),
    params:
        settings=settings("calibrate"),
        seed=SEED,
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --model {wildcards.model} --models {input.models} --calibration {input.calibration}"
        " --dataset {input.dataset} --metrics {output.metrics} --predictions {output.predictions} > {log:q} 2>&1"


rule compare_models:
    input:
        metrics=every_model("<results>/{case}/metrics/{model}.json"),
        script="scripts/compare_models.py",
        library=library("scripts/compare_models.py"),
    output:
        table=report(
            "<results>/{case}/metrics/scores.csv",
            caption="../report/scores.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "scores"},
        ),
        text="<results>/{case}/metrics/scores.md",
    log:
        "<logs>/{case}/compare_models.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_models.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/compare_models.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "python {input.script}"
        " --metrics {input.metrics} --table {output.table} --text {output.text} > {log:q} 2>&1"
