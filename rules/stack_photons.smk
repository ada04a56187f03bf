# All photon lists of an archive in; those with near pointings as one list each, and a manifest of these, out.


rule stack_photons:
    input:
        manifests=chunks("<results>/{case}/{archive}/fits/manifest_{chunk}.ecsv", "searched"),
        script="scripts/stack_photons.py",
        library=library("scripts/stack_photons.py"),
    output:
        manifest="<results>/{case}/{archive}/stacks/manifest.ecsv",
        lists=directory("<results>/{case}/{archive}/stacks/files"),
    log:
        "<logs>/{case}/stack_photons_{archive}.log",
    benchmark:
        "<logs>/benchmarks/{case}/stack_photons_{archive}.tsv"
    wildcard_constraints:
        case=one_of(having("stack")),
    conda:
        "../envs/stack_photons.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        settings=settings("stack"),
    shell:
        "python {input.script} --case {wildcards.case} --settings {params.settings:q}"
        " --manifests {input.manifests} --folder {output.lists} --manifest {output.manifest} > {log:q} 2>&1"
