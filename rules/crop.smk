# Images in, one cutout an object out, with a table of the objects and one of what became of every file.


rule crop:
    input:
        manifest="<results>/{case}/{archive}/fits/manifest_{chunk}.ecsv",
        script="scripts/crop.py",
        library=library("scripts/crop.py"),
    output:
        cutouts="<results>/{case}/{archive}/cutouts/chunk_{chunk}.h5",
        objects="<results>/{case}/{archive}/cutouts/chunk_{chunk}.objects.ecsv",
        fields="<results>/{case}/{archive}/cutouts/chunk_{chunk}.fields.ecsv",
    log:
        "<logs>/{case}/crop_{archive}_{chunk}.log",
    benchmark:
        "<logs>/benchmarks/{case}/crop_{archive}_{chunk}.tsv"
    conda:
        "../envs/crop.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 1000),
        runtime=minutes(30, 120),
    params:
        settings=settings("crop"),
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --manifest {input.manifest}"
        " --cutouts {output.cutouts} --objects {output.objects} --fields {output.fields} > {log:q} 2>&1"
