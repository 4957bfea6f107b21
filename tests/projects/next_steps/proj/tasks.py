from .celery import app


@app.task
def add(x, y):
    return x + y


@app.task
def mul(x, y):
    return x * y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=2)
def fetch(self, page):
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return page
