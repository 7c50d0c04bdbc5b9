"""Where people see an execution: n8n's editor, at the workflow's address there (`N8N_EDITOR_URL`).

An execution's page lies below its workflow's. Only who runs n8n knows both: an address that was made up from the
API's, which may be a name inside a network, would lead nowhere.
"""

import re

_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""n8n's ids are numbers; whatever a callback has brought besides is no part of an address."""


def execution_url(workflow_url: str, execution_id: str | None) -> str | None:
    """The execution's address in the editor; None where it cannot be known.

    Args:
        workflow_url: the workflow's address in the editor, as `gateway.settings.addresses.workflow_url` returns it;
            empty where there is none.
        execution_id: as n8n has told it.
    """
    if not workflow_url or execution_id is None or not _EXECUTION_ID.fullmatch(execution_id):
        return None
    return f"{workflow_url}/executions/{execution_id}"
