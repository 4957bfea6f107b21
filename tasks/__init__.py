"""The repository's own Celery app and its kinds of operation, written against `tidings` alone.

``celery -A tasks worker`` finds the app in `tasks.celery`. The service reads `tasks.catalog`.
"""
