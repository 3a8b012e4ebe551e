import NIOCore

/// One client: cuts its bytes into frames and answers them one after the other, as Kafka does.
final class Connection: ChannelDuplexHandler, Peer {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = Never
  typealias OutboundOut = ByteBuffer

  /// As Kafka's `socket.request.max.bytes`.
  static let frameBytesMax = 100 << 20
  /// With so much unanswered the client isn't read from.
  static let queuedBytesMax = 8 << 20

  private let handler: RequestHandler
  private let server: ServerState
  private var context: ChannelHandlerContext?
  private var received: ByteBuffer?
  private var frames = CircularBuffer<ByteBuffer>()
  private var queuedBytes = 0
  private var isBusy = false
  private var isReadHeld = false
  private(set) var localHost = "127.0.0.1"
  private(set) var localPort = 0
  private(set) var remoteHost = ""
  private(set) var allocator = ByteBufferAllocator()
  let eventLoop: any EventLoop

  init(_ server: ServerState, eventLoop: any EventLoop) {
    self.server = server
    self.handler = server.handler
    self.eventLoop = eventLoop
  }

  func channelActive(context: ChannelHandlerContext) {
    self.context = context
    allocator = context.channel.allocator
    localHost = context.localAddress?.ipAddress ?? localHost
    localPort = context.localAddress?.port ?? localPort
    remoteHost = context.remoteAddress?.ipAddress ?? ""
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
    frames.removeAll()
    handler.forget(self)
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var incoming = unwrapInboundIn(data)
    if received == nil { received = incoming } else { received?.writeBuffer(&incoming) }
    do { try cutFrames() } catch { fail(error) }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    process()
    context.fireChannelReadComplete()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    process()
    context.fireChannelWritabilityChanged()
  }

  func read(context: ChannelHandlerContext) {
    if queuedBytes < Self.queuedBytesMax { context.read() } else { isReadHeld = true }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func complete(_ frame: ByteBuffer) {
    isBusy = false
    guard let context, server.isHealthy else { return }
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    guard !frames.isEmpty else { return }
    // Not at once: the caller is amid another client's request.
    eventLoop.assumeIsolated().execute { self.process() }
  }

  private func cutFrames() throws {
    while let length = received?.getInteger(at: received?.readerIndex ?? 0, as: Int32.self) {
      guard length > 0, length <= Self.frameBytesMax else {
        throw Malformed(reason: "its length is \(length)")
      }
      guard let readable = received?.readableBytes, readable >= 4 + Int(length) else { break }
      received?.moveReaderIndex(forwardBy: 4)
      guard let frame = received?.readSlice(length: Int(length)) else { break }
      frames.append(frame)
      queuedBytes += Int(length)
    }
    if received?.readableBytes == 0 { received = nil }
  }

  private func process() {
    guard let context else { return }
    var hasWritten = false
    while !isBusy, context.channel.isWritable, let frame = frames.popFirst() {
      queuedBytes -= frame.readableBytes
      isBusy = true
      do {
        let outcome = try handler.handle(frame, from: self)
        guard server.isHealthy else { return }
        switch outcome {
        case .reply(let writer):
          isBusy = false
          hasWritten = true
          context.write(wrapOutboundOut(writer.finish()), promise: nil)
        case .silent: isBusy = false
        case .later: break
        }
      } catch {
        fail(error)
        break
      }
    }
    if hasWritten { context.flush() }
    if isReadHeld && queuedBytes < Self.queuedBytesMax {
      isReadHeld = false
      context.read()
    }
  }

  private func fail(_ error: any Error) {
    let reason = (error as? Malformed)?.reason ?? "\(error)"
    server.configuration.log("closing the connection from \(remoteHost): bad request, \(reason)")
    isBusy = true
    frames.removeAll()
    context?.close(promise: nil)
  }
}
