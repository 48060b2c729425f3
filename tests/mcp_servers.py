"""MCP servers for tests: scripts for `python -c`, one by the SDK, the others by hand.

Those by hand start in a tenth of the time, and can do what the SDK would never let them.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from local_server import Answer, Received

from runner.contract.kinds import McpServer, Tool
from runner.contract.kinds.mcp_offer import Offer

PYTHON = sys.executable

SDK = '''
import os, sys
from mcp.server import MCPServer

server = MCPServer("notes")

@server.tool()
def echo(text: str) -> str:
    """Say it back."""
    return text

@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

@server.tool()
def environment() -> dict[str, str]:
    """What the server was given."""
    return dict(os.environ)

server.run("stdio") if len(sys.argv) < 2 else server.run(
    "streamable-http", port=int(sys.argv[1])
)
'''

HAND = """
import json, os, sys, time

def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()

def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}

def tool(name, description="", schema=None, **more):
    return {"name": name, "description": description,
            "inputSchema": schema or {"type": "object"}, **more}

def tools(cursor):
    return {"tools": [tool("echo", "Say it back.")]}

def called(name, arguments, id):
    return text(arguments.get("text", ""))

def other(message):
    pass

def main():
    for line in sys.stdin:
        message = json.loads(line)
        id, method = message.get("id"), message.get("method")
        params = message.get("params") or {}
        if method == "initialize":
            say(id=id, result={"protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "hand", "version": "1"}})
        elif method == "tools/list":
            say(id=id, result=tools(params.get("cursor")))
        elif method == "tools/call":
            result = called(params["name"], params.get("arguments") or {}, id)
            if result is not None:
                say(id=id, result=result)
        elif method and id is not None:
            say(id=id, error={"code": -32601, "message": "no such method"})
        else:
            other(message)
"""


def by_hand(change: str = "") -> list[str]:
    """The arguments of a server by hand, with some of it done otherwise."""
    return ["-c", HAND + change + "\nmain()"]


ECHO = Offer("echo", "Say it back.", {"type": "object"}, {})


def server(args: list[str], **more: Any) -> McpServer:
    """A server over stdio."""
    wait = {"reconnect": {"backoff": "10ms", "max_attempts": 1}}
    return McpServer.model_validate(
        {"transport": "stdio", "command": PYTHON, "args": args, **wait, **more}
    )


def pinned(offer: Offer = ECHO, **more: Any) -> Tool:
    """The Tool that a pin writes."""
    return Tool.model_validate(
        {
            "type": "mcp",
            "mcp_server_ref": "notes",
            "mcp_tool_name": offer.name,
            "description": offer.description,
            "input_schema": dict(offer.input_schema),
            "schema_digest": offer.digest,
            **more,
        }
    )


class Hand:
    """A server by hand that remembers what it was sent, and can be told to misbehave."""

    def __init__(self, called: Callable[[dict[str, Any]], Answer]) -> None:
        self._called = called
        self.methods: list[str] = []
        self.headers: list[dict[str, str]] = []

    def __call__(self, request: Received) -> Answer:
        self.headers.append(request.headers)
        if request.method != "POST":
            return Answer(405)
        message = json.loads(request.body)
        self.methods.append(message["method"])
        match message["method"]:
            case "initialize":
                version = message["params"]["protocolVersion"]
                result = {
                    "protocolVersion": version,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "hand", "version": "1"},
                }
                return answered(message, result, {"Mcp-Session-Id": f"s{len(self.methods)}"})
            case "tools/list":
                tool = {"name": "echo", "description": "Say it back."}
                schema = {"inputSchema": {"type": "object"}}
                return answered(message, {"tools": [tool | schema]})
            case "tools/call":
                return self._called(message)
            case "server/discover":
                error = {"code": -32601, "message": "no such method"}
                body = {"jsonrpc": "2.0", "id": message["id"], "error": error}
                return Answer(200, json.dumps(body).encode(), JSON)
        return Answer(202)


JSON = {"Content-Type": "application/json"}


def answered(
    message: dict[str, Any], result: Any, more: dict[str, str] | None = None
) -> Answer:
    body = {"jsonrpc": "2.0", "id": message["id"], "result": result}
    return Answer(200, json.dumps(body).encode(), {**JSON, **(more or {})})
