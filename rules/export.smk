# Outside `all`: a chain's networks in the format that real time runs best.


rule export_networks:
    input:
        models=chain_models,
        observations="<results>/{case}/simulated/validation_000.h5",
        script="scripts/export_networks.py",
        library=library("scripts/export_networks.py"),
    output:
        network="<results>/{case}/models/{model}.tflite",
    log:
        "<logs>/{case}/export_networks_{model}.log",
    benchmark:
        "<logs>/benchmarks/{case}/export_networks_{model}.tsv"
    wildcard_constraints:
        case=one_of(SEARCHED),
    conda:
        "../envs/export_networks.yaml"
    threads: search_threads
    resources:
        mem_mb=memory(2500),
        runtime=minutes(10),
    params:
        settings=settings("search"),
        models=all_roles,
        role=role_of,
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --models {params.models} --role {params.role} --observations {input.observations}"
        " --output {output.network} > {log:q} 2>&1"
