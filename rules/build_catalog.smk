# Objects and their probabilities in; one case's catalog out, in every format, then the catalog of all cases.


rule build_catalog:
    input:
        objects=found_in("objects"),
        fields=found_in("fields"),
        predictions=found_in("predictions"),
        labels=catalog_labels,
        reference=reference_file,
        columns="resources/columns.yaml",
        script="scripts/build_catalog.py",
        library=library("scripts/build_catalog.py"),
    output:
        csv=report(
            "<results>/{case}/catalog.csv",
            caption="../report/catalog.rst",
            category="{case}",
            labels={"table": "catalog"},
        ),
        ecsv="<results>/{case}/catalog.ecsv",
        votable="<results>/{case}/catalog.vot",
        fits="<results>/{case}/catalog.fits",
        regions="<results>/{case}/catalog.reg",
        moc="<results>/{case}/catalog.moc.fits",
    log:
        "<logs>/{case}/build_catalog.log",
    benchmark:
        "<logs>/benchmarks/{case}/build_catalog.tsv"
    conda:
        "../envs/build_catalog.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 25),
        runtime=minutes(10, 0.1),
    params:
        config=catalog_config,
        labels=label_argument,
        settings=settings("reference"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --objects {input.objects} --fields {input.fields}"
        " --predictions {input.predictions} {params.labels} --columns {input.columns} --config-hash {params.config}"
        " --csv {output.csv} --ecsv {output.ecsv} --votable {output.votable}"
        " --fits {output.fits} --regions {output.regions} --moc {output.moc} > {log:q} 2>&1"


rule merge_catalogs:
    input:
        catalogs=results_of("<results>/{case}/catalog.ecsv"),
        mocs=results_of("<results>/{case}/catalog.moc.fits"),
        columns="resources/columns.yaml",
        script="scripts/merge_catalogs.py",
        library=library("scripts/merge_catalogs.py"),
    output:
        csv=report(
            "<results>/catalog.csv",
            caption="../report/catalog.rst",
            category="catalog",
            labels={"table": "catalog"},
        ),
        ecsv="<results>/catalog.ecsv",
        votable="<results>/catalog.vot",
        fits="<results>/catalog.fits",
        regions="<results>/catalog.reg",
        moc="<results>/catalog.moc.fits",
    log:
        "<logs>/merge_catalogs.log",
    benchmark:
        "<logs>/benchmarks/merge_catalogs.tsv"
    conda:
        "../envs/merge_catalogs.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 32),
        runtime=minutes(10, 0.1),
    shell:
        "python {input.script}"
        " --catalogs {input.catalogs} --mocs {input.mocs} --columns {input.columns}"
        " --csv {output.csv} --ecsv {output.ecsv} --votable {output.votable}"
        " --fits {output.fits} --regions {output.regions} --moc {output.moc} > {log:q} 2>&1"
