"""The state machines as ASL files, and what renders, checks and publishes them.

    inference.asl.json    serializeImageData ► imageClassification ► filterLowInferenceConfidence;
                          low confidence: queueForReview, then THRESHOLD_CONFIDENCE_NOT_MET
    batch.asl.json        a whole S3 prefix, one inference execution an image (Distributed Map)
    deployment.asl.json   an approved version to a serving endpoint, or back to what served before

    render.py    placeholders → a definition, checked
    publish.py   a definition → a new version, and the alias `live` on it

A file is JSON with `${Placeholders}`. CloudFormation fills them from the template's
`DefinitionSubstitutions`; a deployment renders `inference.asl.json` again, with what belongs to the
version that it deployed: endpoint, package and confidence threshold. Callers start the alias, so an
execution never sees half of a change.
"""
