"""The contract with a real n8n. Installing one takes minutes, so it runs only when asked for:

    .venv/bin/pytest -m real_n8n -n 0 tests/real_n8n

`N8N_FOLDER` names where n8n is, or is to be, installed (2.3 GB; ``.n8n`` in the working copy when unset).
"""
