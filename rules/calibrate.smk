# A network's scores on the validation split in; temperature, threshold and their intervals out.


rule calibrate:
    input:
        models=members,
        dataset=model_dataset,
        script="scripts/calibrate.py",
        library=library("scripts/calibrate.py"),
    output:
        calibration="<results>/{case}/models/{model}.calibration.json",
    log:
        "<logs>/{case}/calibrate_{model}.log",
    benchmark:
        "<logs>/benchmarks/{case}/calibrate_{model}.tsv"
    wildcard_constraints:
        case=one_of(CLASSIFIED),
    conda:
        "../envs/calibrate.yaml"
    threads: calibrate_threads
    resources:
        mem_mb=memory(1800, 0.2),
        runtime=minutes(10, 0.005),
    params:
        settings=settings("calibrate"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q}"
        " --model {wildcards.model} --models {input.models} --dataset {input.dataset} --output {output.calibration} > {log:q} 2>&1"
