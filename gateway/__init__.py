"""The gateway: submissions in, n8n out, callbacks in, every change pushed to the browsers that have subscribed."""

from importlib.metadata import version

__version__ = version("ai-image-gateway")
