"""Supabase's own clients against the gateway: supabase-js in three versions under Node, and the Python one.

They are installed into `.supabase-clients/` (or `SUPABASE_CLIENTS_FOLDER`) when the tests first ask for them.
"""
