// Search runs in a worker, and browsers start no workers for pages that were
// opened from the disk. There, a hidden frame does what the worker would.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.setAttribute("aria-hidden", "true")
      this.frame.srcdoc =
        "<script>" +
        "postMessage = (message) => parent.postMessage({ worker: message }, '*');" +
        "importScripts = (...urls) => urls.reduce((before, url) => before.then(" +
        "() => new Promise((done, failed) => {" +
        "const script = document.createElement('script');" +
        "script.src = url; script.onload = done; script.onerror = failed;" +
        "document.head.append(script) })), Promise.resolve())" +
        "</script>" +
        `<script src="${new URL(url, location.href)}"></script>`
      this.isLoaded = new Promise((done) => {
        this.frame.onload = done
      })
      window.addEventListener("message", ({ source, data }) => {
        if (source === this.frame.contentWindow)
          this.dispatchEvent(new MessageEvent("message", { data: data.worker }))
      })
      document.body.append(this.frame)
    }
    postMessage(message) {
      // What comes from the page must reach the script, not what it sends.
      this.isLoaded.then(() =>
        this.frame.contentWindow.dispatchEvent(
          new this.frame.contentWindow.MessageEvent("message", { data: message }),
        ),
      )
    }
    terminate() {
      this.frame.remove()
    }
  }
}
