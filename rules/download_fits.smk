# A chunk of wanted files in, the files in the store and a manifest out. The store is no output: a failed or
# changed chunk keeps what it has.


rule download_fits:
    input:
        chunk="<results>/{case}/{archive}/query/chunk_{chunk}.ecsv",
        simulated=simulated("<results>/{case}/embedded/simulated/shard_{shard}.tar"),
        script="scripts/download_fits.py",
        library=library("scripts/download_fits.py"),
    output:
        manifest="<results>/{case}/{archive}/fits/manifest_{chunk}.ecsv",
    log:
        "<logs>/{case}/download_fits_{archive}_{chunk}.log",
    benchmark:
        "<logs>/benchmarks/{case}/download_fits_{archive}_{chunk}.tsv"
    conda:
        "../envs/download_fits.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(240),
    params:
        settings=archive_settings("download"),
        store=beside("{results}/{case}/{archive}/fits/files"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --service {wildcards.archive}"
        " --chunk {input.chunk} --store {params.store:q} --manifest {output.manifest} > {log:q} 2>&1"


rule acknowledge:
    input:
        manifests=chunks("<results>/{case}/{archive}/fits/manifest_{chunk}.ecsv", "searched"),
        script="scripts/acknowledge.py",
        library=library("scripts/acknowledge.py"),
    output:
        text=report(
            "<results>/{case}/acknowledgement.txt",
            caption="../report/acknowledgement.rst",
            category="{case}",
            subcategory="archive",
            labels={"text": "acknowledgement"},
        ),
    log:
        "<logs>/{case}/acknowledge.log",
    benchmark:
        "<logs>/benchmarks/{case}/acknowledge.tsv"
    conda:
        "../envs/acknowledge.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 12),
        runtime=minutes(10),
    shell:
        "python {input.script}" " --manifests {input.manifests} --output {output.text} > {log:q} 2>&1"
