"""The contract with a real n8n. Installing one takes minutes, so it runs only when asked for:

    .venv/bin/pytest -m real_n8n -n 0 tests/real_n8n

`N8N_FOLDER` names where the versions of `installation.py` are, or are to be, installed (5 GB; ``.n8n`` in the working
copy when unset).
"""
