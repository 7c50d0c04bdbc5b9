"""Measurements that our pages quote. They print numbers and pass no judgement: tests are not timed."""
