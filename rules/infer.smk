# A chunk of cutouts and a calibrated network in, a probability an object out. No truth is read here.


rule infer:
    input:
        cutouts="<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5",
        models=catalog_models,
        calibration=catalog_calibration,
        script="scripts/infer.py",
        library=library("scripts/infer.py"),
    output:
        predictions="<results>/{case}/{archive}/predictions/chunk_{chunk}.ecsv",
    log:
        "<logs>/{case}/infer_{archive}_{chunk}.log",
    benchmark:
        "<logs>/benchmarks/{case}/infer_{archive}_{chunk}.tsv"
    conda:
        "../envs/infer.yaml"
    threads: catalog_threads
    resources:
        gpu=0,
        mem_mb=memory(1500, 8),
        runtime=minutes(10, 0.02),
    params:
        settings=catalog_model_settings,
    shell:
        "python {input.script}"
        " --gpus {resources.gpu} --case {wildcards.case} --settings {params.settings:q} --models {input.models}"
        " --calibration {input.calibration} --cutouts {input.cutouts} --output {output.predictions} > {log:q} 2>&1"
