# A chunk of observations and the calibrated chain in; sources, their probabilities, and what became of every file out.


rule search:
    input:
        manifest=searched_manifest,
        models=chain_models,
        calibration="<results>/{case}/detections/calibration.json",
        clusters=cluster_list,
        script="scripts/search.py",
        library=library("scripts/search.py"),
    output:
        objects="<results>/{case}/{archive}/sources/chunk_{chunk}.objects.ecsv",
        predictions="<results>/{case}/{archive}/sources/chunk_{chunk}.predictions.ecsv",
        fields="<results>/{case}/{archive}/sources/chunk_{chunk}.fields.ecsv",
    log:
        "<logs>/{case}/search_{archive}_{chunk}.log",
    benchmark:
        "<logs>/benchmarks/{case}/search_{archive}_{chunk}.tsv"
    conda:
        "../envs/search.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=settings("search"),
        models=all_roles,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --manifest {input.manifest} --models {params.models} --calibration {input.calibration}"
        " --objects {output.objects} --predictions {output.predictions} --fields {output.fields} > {log:q} 2>&1"
