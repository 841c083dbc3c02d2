-- Arguments: read or write, how many secrets there are, the token.
-- Requests go to random secrets; every write brings another value. What can be
-- prepared is, so that the load generator costs little.

local write, count
local heads = {}
local body = '{"data":{"username":"app","password":"%012d-mN3xR8vQ2pL5kT7w","endpoint":"db.example.com:5432"}}'
local front, back = body:match("^(.-)%%012d(.*)$")
local n = 0

function init(args)
  write, count = args[1] == "write", tonumber(args[2])
  wrk.headers["X-Vault-Token"] = args[3]
  math.randomseed(os.time())
  for i = 1, count do
    local path = "/v1/secret/data/bench/" .. i
    if write then
      wrk.headers["Content-Type"] = "application/json"
      local whole = wrk.format("POST", path, nil, string.format(body, 0))
      heads[i] = whole:sub(1, -#string.format(body, 0) - 1) .. front
    else
      heads[i] = wrk.format("GET", path)
    end
  end
end

function request()
  local head = heads[math.random(count)]
  if not write then
    return head
  end
  n = n + 1
  return head .. string.format("%012d", n) .. back
end
