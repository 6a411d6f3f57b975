-- What wrk sends: a sign-up of somebody new, or one click of the next reader who leaves. Each of its threads has its own
-- readers, so that nobody comes or goes twice.
local all = {}

function setup(thread)
  thread:set("number", #all)
  all[#all + 1] = thread
  thread:set("threads", tonumber(os.getenv("BENCH_THREADS")))
end

function init()
  mode = os.getenv("BENCH_MODE")
  headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
  stamp = os.getenv("BENCH_STAMP")
  sent, short, paths = 0, 0, {}
  if mode == "leave" then
    local n = 0
    for path in io.lines(os.getenv("BENCH_PATHS")) do
      if n % threads == number then paths[#paths + 1] = path end
      n = n + 1
    end
  end
end

function request()
  sent = sent + 1
  if mode == "leave" then
    -- Nobody is left to leave: that is told, and the figure does not count.
    if sent > #paths then short = 1 end
    return wrk.format("POST", paths[(sent - 1) % #paths + 1], headers, "List-Unsubscribe=One-Click")
  end
  local body = "address=new" .. number .. "." .. sent .. "%40d" .. (sent % 997) .. ".example&digest=news&stamp=" .. stamp
  return wrk.format("POST", "/subscribe", headers, body)
end

function done(summary, latency)
  local short = 0
  for _, thread in ipairs(all) do short = short + thread:get("short") end
  io.write(string.format(
    "RESULT %d %d %d %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout, short))
end
