# The service as a container: `docker build -t sluice .`, then
# `docker run -p 50051:50051 -p 127.0.0.1:9464:9464 -v sluice:/data sluice`.
#
# glibc (slim, not alpine), because the native parts (profiler, checksum, file locks) come built for it. Node.js is process 1
# and handles its signals, so neither a shell nor an init lies between it and the runtime's SIGTERM.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-slim
# Inside a container the loopback address is nobody's but its own. The page and /debug/ are still answered to loopback alone:
# `docker exec` into it, `kubectl port-forward`, or set ADMIN_TOKEN.
ENV NODE_ENV=production \
    GRPC_LISTEN=0.0.0.0:50051 \
    ADMIN_LISTEN=0.0.0.0:9464 \
    DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/bin ./bin
COPY --from=build /app/proto ./proto
COPY --from=build /app/dist ./dist
RUN ln -s /app/bin/sluice.js /usr/local/bin/sluice && install -d -o 1000 -g 1000 /data
# By number, so that Kubernetes can see that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "--no-warnings", "-e", "const tls = process.env.ADMIN_TLS_CERT_FILE; if (tls) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; fetch(`http${tls ? 's' : ''}://127.0.0.1:${process.env.ADMIN_LISTEN.split(':').at(-1)}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
