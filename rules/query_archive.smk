# An archive in (simulated, a folder, or ALMA's), a snapshot of the wanted files out, divided into chunks.


rule query_archive:
    input:
        simulated=simulated("<results>/{case}/embedded/simulated/shard_{shard}.obscore.ecsv"),
        products=simulated("<results>/{case}/embedded/simulated/shard_{shard}.tar"),
        positions=position_list,
        script="scripts/query_archive.py",
        library=library("scripts/query_archive.py"),
    output:
        snapshot="<results>/{case}/{archive}/query/snapshot.ecsv",
        counts=report(
            "<results>/{case}/{archive}/query/counts.csv",
            caption="../report/counts.rst",
            category="{case}",
            subcategory="archive",
            labels={"table": "archive filters", "archive": "{archive}"},
        ),
        changes="<results>/{case}/{archive}/query/changes.ecsv",
        chunks=expand(
            "<results>/{case}/{archive}/query/chunk_{chunk}.ecsv", chunk=numbers(CHUNKS), allow_missing=True
        ),
    log:
        "<logs>/{case}/query_archive_{archive}.log",
    benchmark:
        "<logs>/benchmarks/{case}/query_archive_{archive}.tsv"
    conda:
        "../envs/query_archive.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=minutes(240),
    params:
        settings=archive_settings("search"),
        seed=SEED,
        chunks=CHUNKS,
        history=beside("{results}/{case}/{archive}/query/history"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --service {wildcards.archive} --simulated {input.simulated} --chunks {params.chunks}"
        " --history {params.history:q} --snapshot {output.snapshot} --counts {output.counts}"
        " --changes {output.changes} --chunk-files {output.chunks} > {log:q} 2>&1"
