# The API and the jobs: docker build --tag modelstac .
FROM node:22-slim AS browser
WORKDIR /source
COPY deploy/browser deploy/browser
RUN deploy/browser/build

FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/modelstac
COPY . .
RUN /opt/modelstac/bin/pip install --no-cache-dir --constraint constraints.txt '.[pgstac]'

FROM python:3.11-slim
COPY --from=build /opt/modelstac /opt/modelstac
COPY --from=browser /source/.browser/dist /opt/browser
RUN useradd --system --uid 1000 --home-dir /data --create-home modelstac
ENV PATH=/opt/modelstac/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MODELSTAC_BROWSER=/opt/browser
WORKDIR /data
USER modelstac
EXPOSE 8080
CMD ["modelstac", "serve"]
