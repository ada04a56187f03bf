# Zenodo in, CTAO's instrument response functions prod5 v0.1 as FITS files out: a target outside `all`, which needs a network.


rule fetch_irfs:
    input:
        script="scripts/fetch_irfs.py",
        library=library("scripts/fetch_irfs.py"),
    output:
        folder=directory("<results>/irfs/cta-prod5"),
    log:
        "<logs>/fetch_irfs.log",
    benchmark:
        "<logs>/benchmarks/fetch_irfs.tsv"
    conda:
        "../envs/fetch_irfs.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(240),
    params:
        part=beside("{results}/irfs/.begun"),
        retries=CONFIG["archive"]["download"]["retries"],
        timeout=CONFIG["archive"]["download"]["timeout"],
    shell:
        "python {input.script} --part {params.part:q} --retries {params.retries} --timeout {params.timeout:q}"
        " --output {output.folder} > {log:q} 2>&1"
