-- Arguments: method, path, token ("" for none), body ("" for none). Every
-- request is the same.

local whole

function init(args)
  if args[3] ~= "" then
    wrk.headers["X-Vault-Token"] = args[3]
  end
  local body = nil
  if args[4] ~= "" then
    wrk.headers["Content-Type"] = "application/json"
    body = args[4]
  end
  whole = wrk.format(args[1], args[2], nil, body)
end

function request()
  return whole
end
