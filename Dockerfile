# One image for all parts of felix-py: installer, agent, sidecar, controller and felixctl.
#
#   docker build --tag felix-py .
#
# The interpreter is whatever `python` the base has, reached through the virtual environment in /opt/felix.

FROM docker.io/library/python:3.11-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libcap2-bin musl-tools \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The libraries. Half of the Kubernetes client is its asynchronous twin, which nothing here imports, nor what only that
# needs. Bytecode is never compared with its source: the root file system is read-only, and starts are to be quick.
# The sidecar's interpreter is a copy that may have port 179 whoever runs it, where the container has that capability.
COPY pyproject.toml constraints.txt ./
RUN python -m venv --without-pip /opt/felix \
 && python -m venv /opt/tools \
 && /opt/tools/bin/pip install --quiet hatchling \
 && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
 && /opt/tools/bin/pip --python /opt/felix/bin/python install --quiet --no-compile --requirement requirements.txt \
 && /opt/tools/bin/pip --python /opt/felix/bin/python uninstall --quiet --yes \
    aiohappyeyeballs aiohttp aiohttp-retry aiosignal attrs frozenlist multidict propcache yarl \
 && rm -r /opt/felix/lib/python3.11/site-packages/kubernetes/aio \
 && find /opt/felix/bin -type f -delete \
 && cp "$(readlink --canonicalize /opt/felix/bin/python)" /opt/felix/bin/python-bgp \
 && setcap cap_net_bind_service=ep /opt/felix/bin/python-bgp \
 && /opt/felix/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/felix/lib
# What is ours, apart from them: an upgrade fetches a layer of a few megabytes.
COPY . .
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/tools/bin/pip --python /opt/felix/bin/python install --quiet --no-compile --no-deps --no-index \
    --prefix /ours /wheels/*.whl \
 && sed --in-place '1s,python$,python-bgp,' /ours/bin/felix-sidecar \
 && /opt/felix/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /ours -p /opt/felix /ours/lib \
 && python -m cni.build /ours/libexec/felix-cni

FROM docker.io/library/python:3.11-slim-bookworm
COPY --from=build /opt/felix /opt/felix
COPY --from=build /ours /opt/felix
ENV PATH=/opt/felix/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
# Nobody in particular. Installer and agent run as root with few capabilities, and their pods say so.
USER 65532:65532
CMD ["felix-agent"]
