-- Callbacks of n8n. Arguments: the secret; "progress" or "completed"; how many requests there are; the first one.
local BODIES = {
  progress = '{"requestId":"%s","status":"processing","progress":%d}',
  completed = '{"requestId":"%s","status":"completed","Key":"ai-images/%d.png","Id":"object-%d"}',
}
local headers = { ["Content-Type"] = "application/json" }
local body, requests, number

function init(arguments)
  headers["X-Callback-Secret"] = arguments[1]
  body, requests, number = arguments[2], tonumber(arguments[3]), tonumber(arguments[4])
end

function request()
  local index = number % requests
  local id = string.format("00000000-0000-4000-b000-%012d", index)
  local content
  if body == "progress" then
    content = BODIES.progress:format(id, math.min(100, 1 + math.floor(number / requests)))
  else
    content = BODIES.completed:format(id, index, index)
  end
  number = number + 1
  return wrk.format("POST", "/api/ai-callback", headers, content)
end
