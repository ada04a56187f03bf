# The configuration in, the same beside the results out.


rule write_config:
    input:
        script="scripts/write_config.py",
        library=library("scripts/write_config.py"),
    output:
        config="<results>/config.yaml",
    log:
        "<logs>/write_config.log",
    benchmark:
        "<logs>/benchmarks/write_config.tsv"
    conda:
        "../envs/write_config.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        config=json.dumps(CONFIG, sort_keys=True),
    shell:
        "python {input.script} --config {params.config:q} --output {output.config} > {log:q} 2>&1"
