import os

broker_url = os.environ["BROKER_URL"]
result_backend = os.environ["RESULT_BACKEND"]
broker_connection_retry_on_startup = True
