# Outside `all`: a case's catalog beside one of known sources, which the settings name, and beside moments of its cubes.


rule compare_reference:
    input:
        catalog="<results>/{case}/catalog.ecsv",
        moc="<results>/{case}/catalog.moc.fits",
        reference=reference_file,
        script="scripts/compare_reference.py",
        library=library("scripts/compare_reference.py"),
    output:
        table=report(
            "<results>/{case}/reference.csv",
            caption="../report/reference.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "known sources"},
        ),
        text="<results>/{case}/reference.md",
        figure=report(
            "<results>/{case}/plots/reference.png",
            caption="../report/reference.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "known sources"},
        ),
    log:
        "<logs>/{case}/compare_reference.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_reference.tsv"
    conda:
        "../envs/compare_reference.yaml"
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(20),
    params:
        settings=settings("reference"),
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --catalog {input.catalog} --moc {input.moc}"
        " --table {output.table} --text {output.text} --figure {output.figure} > {log:q} 2>&1"


rule compare_moments:
    input:
        catalog="<results>/{case}/catalog.ecsv",
        manifests=chunks("<results>/{case}/{archive}/fits/manifest_{chunk}.ecsv", "searched"),
        script="scripts/compare_moments.py",
        library=library("scripts/compare_moments.py"),
    output:
        table=report(
            "<results>/{case}/moments.csv",
            caption="../report/moments.rst",
            category="{case}",
            subcategory="metrics",
            labels={"table": "lines and moments"},
        ),
        text="<results>/{case}/moments.md",
        figure=report(
            "<results>/{case}/plots/moments.png",
            caption="../report/moments.rst",
            category="{case}",
            subcategory="metrics",
            labels={"figure": "lines and moments"},
        ),
    log:
        "<logs>/{case}/compare_moments.log",
    benchmark:
        "<logs>/benchmarks/{case}/compare_moments.tsv"
    wildcard_constraints:
        case=one_of(having("peers")),
    conda:
        "../envs/compare_moments.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        settings=settings("search"),
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --catalog {input.catalog} --manifests {input.manifests}"
        " --table {output.table} --text {output.text} --figure {output.figure} > {log:q} 2>&1"
