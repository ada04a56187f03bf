# VizieR in, the Planck clusters (PSZ2) with their R500 out: made only if the settings name this file, as it needs a network.


rule fetch_clusters:
    input:
        script="scripts/fetch_clusters.py",
        library=library("scripts/fetch_clusters.py"),
    output:
        clusters="<results>/clusters/psz2.ecsv",
    log:
        "<logs>/fetch_clusters.log",
    benchmark:
        "<logs>/benchmarks/fetch_clusters.tsv"
    conda:
        "../envs/fetch_clusters.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(60),
    params:
        timeout=CONFIG["archive"]["download"]["timeout"],
    shell:
        "python {input.script} --timeout {params.timeout:q} --output {output.clusters} > {log:q} 2>&1"
