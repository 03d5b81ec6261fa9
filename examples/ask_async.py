"""A server on an event loop: answers line by line and stays responsive while the model runs."""

from __future__ import annotations

import asyncio
import tempfile
from asyncio import StreamReader, StreamWriter

import albert_edge
from albert_edge.runtime.pipeline import Pipeline

QUESTIONS = ["Where is the station?", "Wo ist der Bahnhof?", "Où est la gare ?", "车站在哪里?"]


async def serve(classify: Pipeline, reader: StreamReader, writer: StreamWriter) -> None:
    while line := await reader.readline():
        (answer,) = await classify.acall(line.decode().rstrip("\n"))
        writer.write(f"{answer['label']} {answer['score']:.3f}\n".encode())
        await writer.drain()
    writer.close()


async def ask(port: int, question: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{question}\n".encode())
    answer = await reader.readline()
    writer.close()
    return answer.decode().rstrip("\n")


async def run(bundle: str) -> None:
    # Many short requests at once: one thread for each run, and as many runs as processors.
    with albert_edge.pipeline(model=bundle, threads=1, truncation=True) as classify:
        server = await asyncio.start_server(
            lambda reader, writer: serve(classify, reader, writer), "127.0.0.1", 0
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            answers = await asyncio.gather(*(ask(port, question) for question in QUESTIONS))
    for question, answer in zip(QUESTIONS, answers, strict=True):
        print(f"{answer}\t{question}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        albert_edge.export("langid-tiny", f"{folder}/langid")
        asyncio.run(run(f"{folder}/langid"))


if __name__ == "__main__":
    main()
