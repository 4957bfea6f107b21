"""The service: Flask under gunicorn and gevent, from the log in Redis to the browser.

::

    [ log ] → feed → ring, hub → subscriber → stream → frame → browser
"""
