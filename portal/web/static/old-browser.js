// Loaded only by browsers that know no modules (`nomodule`): shows the section that explains, in syntax that they know.
(function () {
  var sections = document.querySelectorAll('[data-step]');
  for (var i = 0; i < sections.length; i += 1) {
    sections[i].hidden = sections[i].getAttribute('data-step') !== 'old-browser';
  }
})();
