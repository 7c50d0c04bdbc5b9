"""The original design document, and what is wrong with it: each fault is a test that fails on the document's way.

The faults of its tables and policies are in `tests/storage/test_supabase.py`.
"""
