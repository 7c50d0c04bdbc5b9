"""Measurements that the README quotes. They print numbers and pass no judgement: tests are not timed."""
