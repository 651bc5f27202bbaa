# The gateway alone, against a Triton elsewhere: docker build -f docker/gateway.Dockerfile -t tritone-gateway .
FROM python:3.12-slim
WORKDIR /tritone
COPY requirements/run.txt requirements/run.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY model_repository model_repository
COPY gateway gateway
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && useradd --create-home --uid 1000 tritone
USER tritone
# Needs TRITONE_API_KEYS: a file of keys, or none.
ENV TRITONE_HOST=0.0.0.0
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["tritone"]
CMD ["serve", "--triton", "triton:8001"]
