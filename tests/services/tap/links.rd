<resource schema="skyloom_links" resdir="skyloom_alma">
  <meta name="title">Products of ALMA-like observations</meta>
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="description">Which files belong to a member OUS; made up for tests.</meta>
  <meta name="subject">interferometry</meta>
  <meta name="creator">Skyloom</meta>
  <service id="links" allowed="dlmeta">
    <meta name="shortName">skyloom links</meta>
    <datalinkCore>
      <descriptorGenerator>
        <code>
          if not pubDID.startswith("uid://"):
            return DatalinkFault.NotFoundFault(pubDID, "not a member OUS")
          found = ProductDescriptor(pubDID, "products/" + pubDID, None, None)
          found.pubDID = pubDID
          found.suppressAutoLinks = True
          return found
        </code>
      </descriptorGenerator>
      <metaMaker semantics="#this">
        <code>
          import os
          folder = os.path.join(base.getConfig("inputsDir"), "skyloom_alma", "products")
          stem = "member." + descriptor.pubDID.replace("://", "___").replace("/", "_") + "."
          for name in sorted(os.listdir(folder)):
            if name.startswith(stem):
              yield descriptor.makeLink(
                "@MIRROR@/dataPortal/" + name,
                description=name,
                contentType="application/fits",
                contentLength=os.path.getsize(os.path.join(folder, name)))
        </code>
      </metaMaker>
    </datalinkCore>
  </service>
</resource>
