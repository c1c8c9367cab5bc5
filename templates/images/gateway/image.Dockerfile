# A registry image of the OpenClaw gateway as it is; the build adds the labels by which it is known again.
ARG BASE
FROM ${BASE}
