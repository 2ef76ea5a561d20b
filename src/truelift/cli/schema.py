"""`truelift schema`."""

import json


def schema() -> int:
    """Print a JSON schema of study files, for editors: `truelift schema > study.schema.json` (docs/studies.md)."""
    from truelift.cli import app
    from truelift.studies.schema import study_schema

    arguments = app["options"].assemble_argument_collection(parse_docstring=True)
    told = {
        argument.name.removeprefix("--"): " ".join((argument.parameter.help or "").split()) for argument in arguments
    }
    print(json.dumps(study_schema(told), indent=2, ensure_ascii=False))
    return 0
