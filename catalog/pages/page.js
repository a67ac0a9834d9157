for (const button of document.querySelectorAll('.code button')) {
  const code = button.parentElement.querySelector('code');
  const said = document.getElementById('said');
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = 'Selected: copy it with the keyboard.';
      return;
    }
    button.textContent = 'Copied';
    said.textContent = 'Copied.';
    setTimeout(() => { button.textContent = 'Copy'; said.textContent = ''; }, 2000);
  });
}
