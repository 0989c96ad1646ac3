# shellcheck shell=bash disable=SC2034
# `bin/eureka-server` runs the jars in `eureka/lib` and the one class of ours.
version=2.0.5
makes=(eureka bin/eureka-server)
build() {
  jars eureka/lib
  javac -cp "$OUT/eureka/lib/*" -d "$OUT/classes" EurekaServer.java
  jar --create --file "$OUT/eureka/lib/server.jar" -C "$OUT/classes" . # the class archive below takes jars only
  install -m755 eureka-server "$OUT/bin/"
}
verify() { test -f "$OUT/eureka/lib/eureka-core-$version.jar"; }

# The class path holds the final paths, and Java wants it the same when the class archive is made and when it is used.
installed() {
  local home=$CACHE/eureka log=$CACHE/log/eureka-archive.log pid port
  find "$home/lib" -name '*.jar' | LC_ALL=C sort | paste -sd: >"$home/classpath"
  # A run that registers one instance and reads it back, so that those classes are in the archive too.
  EUREKA_TRAINING=1 "$CACHE/bin/eureka-server" --server.port=0 \
    --logging.level.org.springframework.boot.tomcat=info >"$log" 2>&1 &
  pid=$!
  for _ in $(seq 900); do
    port=$(sed -n 's/.*started on port \([0-9]*\).*/\1/p' "$log")
    if [ -n "$port" ]; then break; fi
    kill -0 "$pid" || { tail -20 "$log"; return 1; }
    sleep 0.1
  done
  # shellcheck disable=SC2016
  curl -sf -H 'content-type: application/json' "http://127.0.0.1:$port/eureka/apps/WARM" -d '{"instance": {"hostName": "w",
    "app": "WARM", "ipAddr": "127.0.0.1", "status": "UP", "port": {"$": 1, "@enabled": "true"},
    "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}}}'
  curl -sf -H 'accept: application/json' "http://127.0.0.1:$port/eureka/apps" "http://127.0.0.1:$port/eureka/apps/delta"
  curl -sf "http://127.0.0.1:$port/eureka/apps"
  kill -TERM "$pid"
  wait "$pid" || true
  test -f "$home/classes.jsa"
}
