# Objects and what is known of them in, labels and the split by target out, before any augmentation.


rule label_objects:
    input:
        objects=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.objects.ecsv", "training"),
        fields=chunks("<results>/{case}/{archive}/cutouts/chunk_{chunk}.fields.ecsv", "training"),
        truth=truth,
        labels=label_file,
        script="scripts/label_objects.py",
        library=library("scripts/label_objects.py"),
    output:
        labels="<results>/{case}/training/labels.ecsv",
        duplicates="<results>/{case}/training/duplicates.ecsv",
    log:
        "<logs>/{case}/label_objects.log",
    benchmark:
        "<logs>/benchmarks/{case}/label_objects.tsv"
    conda:
        "../envs/label_objects.yaml"
    threads: 1
    resources:
        mem_mb=memory(500, 15),
        runtime=minutes(10, 0.5),
    params:
        settings=settings("labels"),
        seed=SEED,
        label_file=label_option,
    shell:
        "python {input.script}"
        " --case {wildcards.case} --settings {params.settings:q} --seed {params.seed}"
        " --objects {input.objects} --fields {input.fields} --truth {input.truth} {params.label_file}"
        " --output {output.labels} --duplicates {output.duplicates} > {log:q} 2>&1"
