# NVIDIA's Triton with Whisper as a Python-backend model. TRITON_IMAGE is a tritonserver image with Python 3.12 and CUDA 12,
# which CTranslate2 needs (24.12 to 25.07, the "-py3" variant): docker build -f docker/triton.Dockerfile --build-arg TRITON_IMAGE=... -t tritone-triton .
ARG TRITON_IMAGE
FROM ${TRITON_IMAGE}
WORKDIR /tritone
COPY requirements/run.txt requirements/run.txt
RUN pip install --no-cache-dir --break-system-packages --require-hashes --ignore-installed -r requirements/run.txt
COPY model_repository/whisper /models/base
# Weights are mounted: `tritone fetch base` puts them into ~/.cache/tritone/weights/base.
ENV TRITONE_WEIGHTS_DIR=/weights OPENBLAS_NUM_THREADS=1
EXPOSE 8000 8001 8002
ENTRYPOINT ["tritonserver", "--model-repository=/models", "--model-control-mode=explicit", "--exit-timeout-secs=30"]
CMD ["--load-model=base"]
