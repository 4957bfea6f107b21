import tidings.celery
from celery import Celery

app = Celery("proj", include=["proj.tasks"])
app.config_from_object("proj.celeryconfig")
tidings.celery.install(app)

if __name__ == "__main__":
    app.start()
